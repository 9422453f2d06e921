"""Names for the numpy arrays that many modules share; shapes are in the docstrings that use them.

The name says what the values are, not what they mean:

    Bools     true or false, for example which roads to select
    Mask      the same for pixels (row, col)
    Ints      numbers of things, counts and indices
    Labels    for each pixel (row, col), the number of its instance; 0 is none
    Levels    pixel values or probabilities as bytes, 0 to 255
    Floats    coordinates, lengths and areas
    Floats32  large arrays whose values need no more than seven digits
    Shapes    shapely geometries
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Bools: TypeAlias = NDArray[np.bool_]
Mask: TypeAlias = NDArray[np.bool_]
Ints: TypeAlias = NDArray[np.int64]
Labels: TypeAlias = NDArray[np.int32]
Levels: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float64]
Floats32: TypeAlias = NDArray[np.float32]
Shapes: TypeAlias = NDArray[np.object_]
