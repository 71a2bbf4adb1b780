"""Invented features and labels from the config file, for tests of rules and of label consumers. Off by default."""

from nfd_lite.sources.api import FeatureCollector, SourceSettings, attributes, flags, instances
from node_core.domain.features import Features
from node_core.domain.label_declaration import LabelDeclaration
from node_core.domain.labels import Labels

FLAG = "fake.flag"
ATTRIBUTE = "fake.attribute"
INSTANCE = "fake.instance"


def label_fake(_features: Features, settings: SourceSettings) -> Labels:
    """Adds `fake-` to names without a namespace, as Node Feature Discovery does."""
    return {name if "/" in name else f"fake-{name}": value for name, value in settings.fake.labels.items()}


FAKE = (
    FeatureCollector(
        name=FLAG,
        read=lambda scan: flags(FLAG, frozenset(scan.settings.fake.flags)),
        labels=label_fake,
        owns=("fake-",),
        declared=(
            LabelDeclaration(
                key="fake-<name>",
                value="the value in the config file",
                source="`sources.fake.labels` of the config file",
                presence="for each label in the config file",
            ),
        ),
    ),
    FeatureCollector(name=ATTRIBUTE, read=lambda scan: attributes(ATTRIBUTE, scan.settings.fake.attributes)),
    FeatureCollector(name=INSTANCE, read=lambda scan: instances(INSTANCE, scan.settings.fake.instances)),
)
