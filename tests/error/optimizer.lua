-- expect: :6: error: sgd: sgd has no option 'momentun'; did you mean momentum?
-- expect: :7: error: sgd: momentum is 1.5, must be
-- expect: :8: error: adam: rate is 'fast', must be a number
-- expect: :9: error: an optimizer needs a loss to make smaller
local y = input("x", 7):dense(param.fc, 7)
local a = sgd{momentun = 0.9}
local b = sgd{momentum = 1.5}
local c = adam{rate = "fast"}
return network{output = {y = y}, optimizer = sgd{}}
