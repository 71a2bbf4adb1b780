"""Labels and features from files that users and other programs write into the folder `features.d`.

Reading never blocks and stops at LIMIT bytes, whatever the type of the file. See feature_file for the format.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from nfd_lite.label_keys import qualify_keys
from nfd_lite.sources.api import (
    FeatureCollector,
    PartialFeatures,
    ReadResult,
    ScanContext,
    SourceSettings,
    attributes,
)
from nfd_lite.sources.feature_file import ParsedFile, parse_feature_file
from nfd_lite.user_files import read_text
from node_core.domain.features import Features
from node_core.domain.label_declaration import LabelDeclaration
from node_core.domain.labels import Labels
from node_core.errors import HostReadError
from node_core.host.root import NotReadable

LABEL = "local.label"
FEATURE = "local.feature"
LIMIT = 1 << 16
"""Maximum bytes of a file. A larger file is ignored, as upstream does."""
MAX_FILES = 1024


@dataclass(slots=True, kw_only=True)
class FileTexts:
    """The texts of the feature files.

    by_name: file name -> text. problems: one sentence for each ignored file. unreadable: one sentence for each file that could never be
    read.
    """

    by_name: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def read_labels(scan: ScanContext) -> ReadResult:
    texts, files = scan.once(read_files)
    folder = scan.settings.features_dir
    line_problems = [f"{folder}/{name}: {problem}" for name, file in files.items() for problem in file.problems]
    return PartialFeatures(
        features=attributes(LABEL, {key: value for file in files.values() for key, value in file.labels.items()}),
        reasons=tuple(texts.unreadable),
        problems=(*texts.problems, *line_problems),
        expires_at=min((file.expires_at for file in files.values() if file.expires_at is not None), default=None),
    )


def read_features(scan: ScanContext) -> ReadResult:
    texts, files = scan.once(read_files)
    values = {key: value for file in files.values() for key, value in file.features.items()}
    return PartialFeatures(features=attributes(FEATURE, values), reasons=tuple(texts.unreadable))


def read_files(scan: ScanContext) -> tuple[FileTexts, Mapping[str, ParsedFile]]:
    """Reads and parses all files, by name. The last text of a file is used while the file cannot be read."""
    cache, now = scan.host.cache, scan.host.now()
    texts = _read_texts(scan, scan.settings.features_dir, cache.texts)
    cache.texts = texts.by_name
    return texts, {name: parse_feature_file(text, now) for name, text in texts.by_name.items()}


def _read_texts(scan: ScanContext, folder: str, previous: dict[str, str] | None) -> FileTexts:
    try:
        names = [name for name in scan.root.entries(folder) if is_feature_file(f"{folder}/{name}", scan.settings)]
    except HostReadError as error:
        if previous is None:
            raise
        return FileTexts(by_name=previous, problems=[f"{error}. The last content of its files is used"])
    texts = FileTexts()
    for name in names[:MAX_FILES]:
        _read_one(scan, folder, name, (previous or {}).get(name), texts)
    if len(names) > MAX_FILES:
        texts.problems.append(f"{folder} has {len(names)} files. Only the first {MAX_FILES} files are read")
    return texts


def is_feature_file(path: str, settings: SourceSettings) -> bool:
    """Returns whether a file contains features: not a hidden file, which may be incomplete, and not this agent's own output."""
    return not path.rpartition("/")[2].startswith(".") and path != settings.own_file


def _read_one(scan: ScanContext, folder: str, name: str, previous: str | None, texts: FileTexts) -> None:
    try:
        text = read_text(scan.root, folder, name, limit=LIMIT)
    except HostReadError as error:
        text = previous
        (texts.unreadable if previous is None else texts.problems).append(str(error))
    if isinstance(text, NotReadable):
        texts.problems.append(f"{folder}/{name} {text.why}")
    elif text is not None:
        texts.by_name[name] = text


def label_files(features: Features, _settings: SourceSettings) -> Labels:
    """Adds PREFIX to keys without a prefix. A key that the file already writes with that prefix takes precedence."""
    return qualify_keys(features.attributes.get(LABEL, {}))


LOCAL = (
    FeatureCollector(
        name=LABEL,
        read=read_labels,
        labels=label_files,
        catch_all=True,
        declared=(
            LabelDeclaration(
                key="<key>",
                value="the value in the feature file, or `true`",
                source="the feature files in `--features-dir`",
                presence="for each line of a feature file",
            ),
        ),
    ),
    FeatureCollector(name=FEATURE, read=read_features),
)
