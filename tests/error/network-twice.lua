-- expect: :5: error: a second network: a file describes one
-- expect: :4: note: the first one
local x = image("x", 3, 8, 8)
network{output = {y = x:relu()}}
network{output = {y = x:tanh()}}
