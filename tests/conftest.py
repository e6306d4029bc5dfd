"""Settings of all tests."""

from hypothesis import settings

settings.register_profile("galtools", deadline=None)  # no test depends on how busy the machine is
settings.load_profile("galtools")
