-- expect: :4: error: conv1: conv has no option 'strid'; did you mean stride?
-- expect: :5: error: max_pool: max_pool has no option 'padding'; did you mean pad?
local x = image("x", 3, 8, 8)
local y = x:conv(param.conv1, 4, {kernel = 3, strid = 2})
local z = x:max_pool{2, padding = 1}
return network{output = {y = y, z = z}}
