-- expect: :11: error: c1: kernel is 0, must be at least 1
-- expect: :12: error: c2: kernel is 'three', must be a whole number or {height, width}
-- expect: :13: error: c3: out is 2.5, must be a whole number
-- expect: :14: error: c4: bias is 1, must be true or false
-- expect: :15: error: c5: kernel is a table, must be a whole number or {height, width}
-- expect: :16: error: c6: init is 'lecum', must be one of: default lecun glorot he he_normal; did you mean lecun?
-- expect: :17: error: n1: eps is nan, must be a finite number
-- expect: :18: error: c7: kernel is missing: height and width of the window
-- expect: :19: error: c8: out is given twice
local x = image("x", 3, 8, 8)
local a = x:conv(param.c1, 4, {kernel = 0})
local b = x:conv(param.c2, 4, {kernel = "three"})
local c = x:conv(param.c3, 2.5, {kernel = 1})
local d = x:conv(param.c4, 4, {kernel = 1, bias = 1})
local e = x:conv(param.c5, 4, {kernel = {1, 2, 3}})
local f = x:conv(param.c6, 4, {kernel = 1, init = "lecum"})
local g = x:batch_norm(param.n1, {eps = 0 / 0})
local h = x:conv(param.c7, 4)
local i = x:conv(param.c8, 4, {4, kernel = 1})
return network{output = {a = a + b + c + d + e + f + g + h + i}}
