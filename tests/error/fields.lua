-- expect: :4: error: a tensor of shape 1x7, the batch included, has no height
-- expect: :5: error: only a label has classes
local x = input("x", 7)
local h = x.height
local c = x.classes
return network{output = {y = x:relu()}}
