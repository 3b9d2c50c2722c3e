-- expect: :4: error: fc: argument 2 is nil; is its name misspelt?
-- expect: :5: error: cross_entropy: its operand label is missing: another tensor
local x, label, width = input("x", 7), class("label", 4), nil
local y = x:dense(param.fc, width)
local z = x:dense(param.fc2, 4):cross_entropy()
return network{output = {y = y}, loss = z}
