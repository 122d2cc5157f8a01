from .alarm import Alarm
from .deployment import Deployment
from .line import Line, Station
from .part import Disposition, Part, View
from .tally import Tally

__all__ = ["Alarm", "Deployment", "Disposition", "Line", "Part", "Station", "Tally", "View"]
