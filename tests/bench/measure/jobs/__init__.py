"""The rows of the table, by what they are about."""

from jobs.background import JOBS as BACKGROUND
from jobs.footprint import JOBS as FOOTPRINT
from jobs.growth import JOBS as GROWTH
from jobs.hydrated import JOBS as HYDRATED
from jobs.local import JOBS as LOCAL
from jobs.passthrough import JOBS as PASSTHROUGH
from jobs.random import JOBS as RANDOM
from jobs.sequential import JOBS as SEQUENTIAL
from jobs.writes import JOBS as WRITES

JOBS = (RANDOM + SEQUENTIAL + BACKGROUND + PASSTHROUGH + HYDRATED + WRITES + LOCAL + FOOTPRINT +
        GROWTH)
