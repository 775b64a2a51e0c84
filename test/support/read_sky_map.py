"""Reads a sky map with astropy, astropy-healpix, mhealpy and ligo.skymap, and prints what each finds, as JSON."""

import json
import sys
import warnings

import astropy_healpix as ah
import numpy as np
from astropy.io import fits
from astropy.table import QTable
from ligo.skymap.io import read_sky_map
from ligo.skymap.postprocess import crossmatch
from mhealpy import HealpixMap

warnings.simplefilter("error", category=fits.verify.VerifyWarning)
path = sys.argv[1]
with fits.open(path) as file:
    file.verify("exception")
    header = dict(file[1].header)
table = QTable.read(path)
level, pixel = ah.uniq_to_level_ipix(np.asarray(table["UNIQ"]))
areas = ah.nside_to_pixel_area(ah.level_to_nside(level)).value
density = np.asarray(table["PROBDENSITY"])
peak = int(np.argmax(density))
ra, dec = ah.healpix_to_lonlat(pixel[peak], ah.level_to_nside(level[peak]), order="nested")
moc = HealpixMap.read_map(path, density=True)
found = crossmatch(read_sky_map(path, moc=True), contours=(0.5, 0.9))
print(
    json.dumps(
        {
            "unit": str(table["PROBDENSITY"].unit),
            "object": header["OBJECT"],
            "probability": float((density * areas).sum()),
            "sky": float(areas.sum()),
            "peak": [float(ra.deg), float(dec.deg)],
            "mhealpy": {"isMoc": bool(moc.is_moc), "order": int(np.log2(moc.nside))},
            "areas": [float(area) for area in found.contour_areas],
        }
    )
)
