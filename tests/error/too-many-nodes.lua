-- expect: :4: error: a network of more than 100000 nodes
local x = input("x", 3)
local y = x
while true do y = y:relu() end
