-- expect: :6: error: tensors have no 'convv'; did you mean conv?
-- expect: :7: error: tensors have no 'chanels'; did you mean channels?
-- expect: :8: error: relu is called with a colon, on a tensor: x:relu(...)
-- expect-not: :9:
local x = image("x", 3, 8, 8)
local y = x:convv(param.c, 4, {kernel = 3})
local n = x.chanels // 2 + 1
local z = x.relu()
local w = y:conv(param.d, n, {kernel = n}):relu() * z ^ 2
if w.channels < 4 then w = -w end
return network{output = {w = w}}
