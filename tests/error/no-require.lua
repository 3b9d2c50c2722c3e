-- expect: :2: error: 'require' is not available in a network file
local f = require
