"""An empty destination of each kind, as fixtures."""

from tests.support import destinations

globals().update({name: getattr(destinations, name) for name in destinations.FIXTURES.values()})
