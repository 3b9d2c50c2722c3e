-- expect: :9: error: + takes tensors and numbers, not a table
-- expect: :10: error: the exponent of ^ must be a number
-- expect: :11: error: tensors have no //
-- expect: :12: error: tensors have no order
-- expect: :13: error: * has no meaning for labels
-- expect: :14: error: tensors have no call; is a colon missing?
-- expect: :15: error: tensors have no fields to set
local x, label = input("x", 7), class("label", 3)
local a = x + {}
local b = x ^ x
local c = x // 2
if x < 3 then c = b end
local d = label * 2
local e = x(3)
x.channels = 4
return network{output = {y = x:relu()}}
