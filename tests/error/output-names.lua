-- expect: error: 'two words' cannot be the name of an output: letters, digits and _ only
-- expect: error: 'float' cannot be the name of an output: the C text uses it
-- expect: error: 'work' cannot be the name of an output: the C text uses it
-- expect: error: an output has the name of the input x
-- expect: error: output ok is nil, must be a tensor; is its name misspelt?
-- expect: error: the outputs a and b are the same tensor
-- expect: error: output same is the input x itself
-- expect: error: output m is a scalar; an output has values for each image of the batch
-- expect: error: output k is a constant
local x = image("x", 3, 8, 8)
local y = x:relu()
return network{output = {["two words"] = y, float = y, work = y, x = y, a = y, b = y, same = x,
  m = x:mean(), k = bitmaps.digits, {"ok", nil}}}
