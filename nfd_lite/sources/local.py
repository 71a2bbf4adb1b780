"""Labels and features that other programs and people write into files of one folder, `features.d`.

A file is read, whatever it is, without waiting for it and no further than LIMIT. See feature_file for what it says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from nfd_lite.sources.api import PREFIX, Found, Look, Part, Partial, Source, SourceSettings, attributes, no_labels
from nfd_lite.sources.feature_file import ParsedFile, parse_feature_file
from node_core.domain.features import Features
from node_core.domain.labels import Labels
from node_core.errors import HostReadError
from node_core.host.root import Unfit

LABEL = "local.label"
FEATURE = "local.feature"
LIMIT = 1 << 16
"""Bytes; a file that is larger is passed over, as upstream does."""
MAX_FILES = 1024


@dataclass(slots=True, kw_only=True)
class Texts:
    """by_name: of the files that have one. problems: what is passed over. lost: what cannot be read and was never read before."""

    by_name: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


def read_labels(look: Look) -> Found:
    texts, files = look.once(read_files)
    folder = look.settings.features_dir
    wrong = [f"{folder}/{name}: {problem}" for name, file in files.items() for problem in file.problems]
    return Partial(
        features=attributes(LABEL, {key: value for file in files.values() for key, value in file.labels.items()}),
        reasons=tuple(texts.lost),
        problems=(*texts.problems, *wrong),
        expires_at=min((file.expires_at for file in files.values() if file.expires_at is not None), default=None),
    )


def read_features(look: Look) -> Found:
    texts, files = look.once(read_files)
    found = {key: value for file in files.values() for key, value in file.features.items()}
    return Partial(features=attributes(FEATURE, found), reasons=tuple(texts.lost))


def read_files(look: Look) -> tuple[Texts, Mapping[str, ParsedFile]]:
    """The files by name, as they are now. One that cannot be read says what it said before."""
    memory, now = look.host.memory, look.host.now()
    texts = _read_texts(look, look.settings.features_dir, memory.texts)
    memory.texts = texts.by_name
    return texts, {name: parse_feature_file(text, now) for name, text in texts.by_name.items()}


def _read_texts(look: Look, folder: str, before: dict[str, str] | None) -> Texts:
    try:
        names = [name for name in look.root.entries(folder) if is_feature_file(f"{folder}/{name}", look.settings)]
    except HostReadError as error:
        if before is None:
            raise
        return Texts(by_name=before, problems=[f"{error}; its files say what they said before"])
    texts = Texts()
    for name in names[:MAX_FILES]:
        _read_one(look, folder, name, (before or {}).get(name), texts)
    if len(names) > MAX_FILES:
        texts.problems.append(f"{folder} has {len(names)} files; those after the first {MAX_FILES} are passed over")
    return texts


def is_feature_file(path: str, settings: SourceSettings) -> bool:
    """Hidden files are being written or are not meant for us, and what we publish ourselves must not come back."""
    return not path.rpartition("/")[2].startswith(".") and path != settings.own_file


def _read_one(look: Look, folder: str, name: str, before: str | None, texts: Texts) -> None:
    try:
        found = parse_text(look.root.read_own(folder, name, limit=LIMIT + 1))
    except HostReadError as error:
        found = before
        (texts.lost if before is None else texts.problems).append(str(error))
    if isinstance(found, Unfit):
        texts.problems.append(f"{folder}/{name} {found.why}")
    elif found is not None:
        texts.by_name[name] = found


def parse_text(content: bytes | Unfit | None) -> str | Unfit | None:
    """The text of a file; Unfit where it is no text or too much of it."""
    if content is None or isinstance(content, Unfit):
        return content
    if len(content) > LIMIT:
        return Unfit(f"is larger than {LIMIT} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return Unfit("is not a UTF-8 text file")
    return Unfit("is a binary file") if "\0" in text else text


def label_files(features: Features, _settings: SourceSettings) -> Labels:
    """Keys without a prefix get ours; of two that then are the same, the one that was written with it wins."""
    written = features.attributes.get(LABEL, {})
    unprefixed = {PREFIX + key: value for key, value in written.items() if "/" not in key}
    return unprefixed | {key: value for key, value in written.items() if "/" in key}


LOCAL = Source(
    name="local",
    parts=(
        Part(name=LABEL, read=read_labels, labels=label_files, rest=True),
        Part(name=FEATURE, read=read_features, labels=no_labels),
    ),
)
