-- expect: :2: error: 'dofile' is not available in a network file
local f = dofile
