-- expect: :2: error: 'os' is not available in a network file
local f = os
