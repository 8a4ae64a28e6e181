"""Code arrives with repository, path, language and licence, whatever the order of an archive's members."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stages.ingest.byte_stream import open_stream
from stages.ingest.file_reader import read_files
from stages.ingest.licences import is_licence_file, known_licence
from stages.ingest.options import FileFields, IngestConfig
from stages.text.code_languages import code_language
from tests.unit.ingest.dump_files import ingest, make_source, rows, zip_file
from tests.unit.ingest.test_file_reader import tar

MIT = b"MIT License\n\nPermission is hereby granted, free of charge, to any person obtaining a copy\nof this software"
BSD = (
    b"Redistribution and use in source and binary forms, with or without\nmodification ... endorse or promote products"
)


def metadata(tmp_path: Path, name: str, data: bytes, **fields: Any) -> dict[str, dict[str, Any]]:
    path = tmp_path / name
    path.write_bytes(data)
    with open_stream(path) as (handle, stream):
        given = FileFields(content="code", members=("*.py", "*.c", "*run"), **fields)
        found = list(read_files(handle, stream, name, len(data), given, IngestConfig()))
    return {draft.metadata["path"]: draft.metadata for draft in found if hasattr(draft, "metadata")}


@pytest.mark.parametrize("name", ["tool.tar", "tool.zip"])
def test_a_licence_file_speaks_for_what_lies_below_it(tmp_path: Path, name: str) -> None:
    members = {
        "tool-1.0/src/a.py": b"x = 1\n",
        "tool-1.0/vendor/lib/b.c": b"int x;\n",
        "tool-1.0/vendor/LICENSE.txt": BSD,
        "other/run": b"#!/usr/bin/env python3\nprint(1)\n",
        "tool-1.0/marked.py": b"# SPDX-License-Identifier: Apache-2.0\n",
        "tool-1.0/license.py": b"# a program about licences\n",
        "tool-1.0/LICENSE": MIT,  # behind what it speaks for
    }
    found = metadata(tmp_path, name, (tar if name.endswith("tar") else zip_file)(members))
    told = {
        path: [row.get(key) for key in ("repository", "code_language", "licence", "licence_from")]
        for path, row in found.items()
    }
    assert told == {
        "tool-1.0/src/a.py": ["tool-1.0", "python", "MIT", "tool-1.0/LICENSE"],
        "tool-1.0/vendor/lib/b.c": ["tool-1.0", "c", "BSD-3-Clause", "tool-1.0/vendor/LICENSE.txt"],
        "other/run": ["tool", "python", None, None],
        "tool-1.0/marked.py": ["tool-1.0", "python", "Apache-2.0", "header"],
        "tool-1.0/license.py": ["tool-1.0", "python", "MIT", "tool-1.0/LICENSE"],
    }
    assert all(row["archive"] == name for row in found.values())


def test_a_card_may_name_the_repository_and_files_stand_alone(tmp_path: Path) -> None:
    found = metadata(tmp_path, "a.py", b"x = 1\n", repository="owner/name")
    assert found == {"a.py": {"path": "a.py", "repository": "owner/name", "code_language": "python"}}
    with pytest.raises(ValueError, match="use content 'code'"):
        FileFields(repository="x")


def test_what_is_known_of_code_stands_in_the_document(tmp_path: Path) -> None:
    source = make_source(
        tmp_path, {"t.tar": tar({"t/a.py": b"x = 1\n", "t/COPYING": MIT})}, format="files", fields={"content": "code"}
    )
    by_path = {
        json.loads(row["metadata"])["path"]: json.loads(row["metadata"]) for row in rows(ingest(tmp_path, source))
    }
    assert by_path["t/a.py"]["licence"] == "MIT"
    assert by_path["t/a.py"]["repository"] == "t"


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        (MIT.decode(), "MIT"),
        (BSD.decode(), "BSD-3-Clause"),
        ("# Licensed under the Apache License, Version 2.0 (the", "Apache-2.0"),
        (" * under the terms of the GNU General Public License version 2 only, as\n * the \"Classpath\" exception",
         "GPL-2.0-only WITH Classpath-exception-2.0"),
        ("GNU LESSER GENERAL PUBLIC LICENSE\n Version 3, 29 June 2007", "LGPL-3.0"),
        ("GNU GENERAL PUBLIC LICENSE\n   Version 3, 29 June 2007", "GPL-3.0"),
        ("// SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note\n", "GPL-2.0 WITH Linux-syscall-note"),
        ("/* SPDX-License-Identifier: MIT */", "MIT"),
        ("All rights reserved.", None),
    ],
)  # fmt: skip
def test_licences_are_known_by_their_phrases(text: str, licence: str | None) -> None:
    assert known_licence(text) == licence


def test_names_of_licence_files() -> None:
    names = ["LICENSE", "a/LICENCE.md", "COPYING", "copying.lesser", "LICENSE-MIT", "UNLICENSE"]
    assert all(map(is_licence_file, names))
    assert not any(map(is_licence_file, ["license_check.py.txt/x", "mylicense", "licensed.py", "relicense.md"]))


@pytest.mark.parametrize(
    ("path", "text", "language"),
    [
        ("a/b.py", "", "python"), ("A.JAVA", "", "java"), ("src/Makefile", "", "makefile"),
        ("run", "#!/bin/sh\n", "shell"),
        ("run", "#!/usr/bin/env -S python3.11 -u\n", "python"), ("run", "text", None), ("notes.txt", "", None),
    ],
)  # fmt: skip
def test_languages_by_name_or_first_line(path: str, text: str, language: str | None) -> None:
    assert code_language(path, text) == language
