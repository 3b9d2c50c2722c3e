-- expect: :6: error: network has no field outputs; did you mean output?
-- expect: :6: error: network has no output: network{output = {scores = y}}
-- expect: :6: error: loss is of shape 1x3x8x8, the batch included; it must be a scalar
-- expect: :6: error: optimizer is 'sgd', must be made by one of
local x = image("x", 3, 8, 8)
return network{outputs = {y = x}, loss = x:relu(), optimizer = "sgd"}
