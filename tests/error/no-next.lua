-- expect: :2: error: 'next' is not available in a network file
local f = next
