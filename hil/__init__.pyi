from .notebook import Recording as Recording
from .notebook import open_run as open_run
from .notebook import recognise as recognise

__version__: str
