"""What a document of source code carries beside its text: repository, path, language and licence.

In an archive the root of a repository is the topmost folder above a file that holds a licence file; without any the
archive is the repository. Licence files are looked at before the members are read, hence an archive of code is passed
over twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from stages.ingest.archive_members import ARCHIVE_ERRORS, Member, archive_stem
from stages.ingest.charset import UndecodableError, decode_file
from stages.ingest.licences import HEADER_CHARACTERS, MAX_LICENCE_BYTES, is_licence_file, known_licence
from stages.text.code_languages import code_language


@dataclass(slots=True)
class SourceTree:
    """Licence files of an archive, by folder."""

    name: str  # of the archive or of the file that stands alone
    repository: str | None = None  # what the card calls the repository
    licences: dict[str, tuple[str, str | None]] = field(default_factory=dict)  # folder -> (path of the file, SPDX)

    def learn(self, members: Iterable[Member], max_bytes: int) -> None:
        """Read the licence files among ``members``, at most ``max_bytes`` of an archive; what is broken is left to the
        pass that reads the members."""
        total = 0
        try:
            for member in members:
                total += member.num_bytes
                if total > max_bytes:
                    return
                is_text = code_language(member.name, "") in (None, "markdown", "restructuredtext", "html")
                if member.refusal or not is_text or not is_licence_file(member.name):
                    continue
                if member.num_bytes <= MAX_LICENCE_BYTES:
                    folder = member.name.rpartition("/")[0]
                    text = decode_file(member.open().read(MAX_LICENCE_BYTES), None, 0.01).text
                    self.licences.setdefault(folder, (member.name, known_licence(text)))
        except (*ARCHIVE_ERRORS, UndecodableError):
            return

    def metadata(self, path: str, text: str) -> dict[str, Any]:
        """Repository, path, language and licence of the file at ``path``; what is not known is left out."""
        parts = path.split("/")[:-1]
        folders = ["/".join(parts[:n]) for n in range(len(parts) + 1)]
        roots = [folder for folder in folders if folder in self.licences]
        found: dict[str, Any] = {
            "repository": self.repository or (roots[0] if roots else "") or archive_stem(self.name)
        }
        if language := code_language(path, text):
            found["code_language"] = language
        if licence := known_licence(text[:HEADER_CHARACTERS]):
            found["licence"], found["licence_from"] = licence, "header"
        elif roots and self.licences[roots[-1]][1]:
            found["licence_from"], found["licence"] = self.licences[roots[-1]]
        return found
