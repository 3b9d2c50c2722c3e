-- expect: :9: error: a path is made of names and numbers from 0, not of 'a.b'
-- expect: :10: error: a path is made of names and numbers from 0, not of -1
-- expect: :11: error: a path is made of names and numbers from 0, not of nil
-- expect: :12: error: a path is made of names and numbers from 0, not of 'a b'
-- expect: :13: error: param: a layer needs a name of its own below param, as in param.dense1
-- expect: :14: error: dense: its first argument is the place of its parameters, as in x:dense(param.dense1, ...)
-- expect: :15: error: dense: its first argument is the place of its parameters
local x = input("x", 7)
local a = x:dense(param["a.b"], 7)
local b = x:dense(param[-1], 7)
local c = x:dense(param[nil], 7)
local d = x:dense(param["a b"], 7)
local e = x:dense(param, 7)
local f = x:dense(7)
local g = x:dense({7})
return network{output = {a = a}}
