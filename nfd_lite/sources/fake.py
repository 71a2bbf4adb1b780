"""Features and labels that the config file makes up, for tests of rules and of what reads labels. Off unless it is asked for."""

from nfd_lite.sources.api import PREFIX, Found, Look, Part, Source, SourceSettings, no_labels
from node_core.domain.features import Features
from node_core.domain.labels import Labels

FLAG = "fake.flag"
ATTRIBUTE = "fake.attribute"
INSTANCE = "fake.instance"


def read_flags(look: Look) -> Found:
    return Features(flags={FLAG: frozenset(look.settings.fake.flags)})


def read_attributes(look: Look) -> Found:
    return Features(attributes={ATTRIBUTE: look.settings.fake.attributes})


def read_instances(look: Look) -> Found:
    return Features(instances={INSTANCE: look.settings.fake.instances})


def label_fake(_features: Features, settings: SourceSettings) -> Labels:
    return {f"{PREFIX}fake-{name}": value for name, value in settings.fake.labels.items()}


FAKE = Source(
    name="fake",
    parts=(
        Part(name=FLAG, read=read_flags, labels=label_fake, owns=(f"{PREFIX}fake-",)),
        Part(name=ATTRIBUTE, read=read_attributes, labels=no_labels),
        Part(name=INSTANCE, read=read_instances, labels=no_labels),
    ),
)
