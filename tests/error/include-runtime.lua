-- expect: parts/runtime.lua:2: error: c: input is 1x7, a convolution expects batch x channels x height x width
-- expect: include-runtime.lua:5: note: called from here
local block = include "parts/runtime.lua"
local x = input("x", 7)
local y = block(x)
return network{output = {y = y}}
