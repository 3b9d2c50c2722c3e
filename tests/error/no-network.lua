-- expect: :4: error: the file ends without network{...}
local x = image("x", 3, 8, 8)

local y = x:relu()
