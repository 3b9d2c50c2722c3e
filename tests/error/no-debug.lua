-- expect: :2: error: 'debug' is not available in a network file
local f = debug
