-- Dense layers whose rows end in less than a vector: in half of one, a quarter, and single numbers.
local x, label = input("x", 303), class("label", 10)

local y = x:dense(param.a, 108):relu():dense(param.b, 27):tanh():dense(param.c, 300):relu()
local score = y:dense(param.d, 10)
return network{
  output = {scores = score},
  loss = score:cross_entropy(label),
  optimizer = sgd{momentum = 0.9},
}
