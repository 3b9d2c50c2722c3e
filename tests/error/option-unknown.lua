-- define: dpeth=18
-- expect: error: -D dpeth: the network has no option of this name; did you mean depth?
local depth = option{"depth", 50}
local x = input("x", depth)
return network{output = {y = x:relu()}}
