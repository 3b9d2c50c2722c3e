-- expect: :9: error: two inputs are named x
-- expect: :8: note: first declared here
-- expect: :10: error: 'vars' cannot be the name of an input: the C text uses it
-- expect: :11: error: 'a-b' cannot be a name: letters, digits and _ only
-- expect: :12: error: size 2 of the input is 0, must be a whole number from 1 to 16777216
-- expect: :13: error: the number of classes is 1, must be a whole number from 2 to 16777216
-- expect: :14: error: an input of 1x16777216x16777216x16777216, the batch included, is too large
local x = image("x", 3, 8, 8)
local y = image("x", 3, 8, 8)
local z = image("vars", 3, 8, 8)
local w = image("a-b", 3, 8, 8)
local v = image("v", 3, 0, 8)
local u = class("label", 1)
local t = image("t", 1 << 24, 1 << 24, 1 << 24)
return network{output = {y = x:relu()}}
