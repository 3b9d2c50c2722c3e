-- expect: :2: error: 'io' is not available in a network file
local f = io
