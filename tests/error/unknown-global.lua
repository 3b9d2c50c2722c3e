-- expect: :3: error: nothing is named 'netwrok'; did you mean network?
local x = input("x", 7)
return netwrok{output = {y = x:relu()}}
