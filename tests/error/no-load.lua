-- expect: :2: error: 'load' is not available in a network file
local f = load
