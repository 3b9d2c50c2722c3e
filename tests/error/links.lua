-- expect: :7: error: a: links names input 4, the inputs are 0 to 2
-- expect: :8: error: b: links is a table, must be a list that gives each output its list of inputs
-- expect: :9: error: c: links is a table, must be a list
-- expect: :10: error: d: links is 3, must be a list
-- expect: :11: error: e: the link table is for 1 outputs of 3 inputs, the layer has 2 outputs of 3 inputs
local x = image("x", 3, 8, 8)
local a = x:conv(param.a, 2, {kernel = 3, links = {{0, 1}, {4}}})
local b = x:conv(param.b, 2, {kernel = 3, links = {{0, 0}, {1}}})
local c = x:conv(param.c, 2, {kernel = 3, links = {{0, 1.5}, {1}}})
local d = x:conv(param.d, 2, {kernel = 3, links = 3})
local e = x:conv(param.e, 2, {kernel = 3, links = {{0, 1}}})
return network{output = {y = a}}
