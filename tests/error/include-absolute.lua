-- expect: :2: error: include '/etc/passwd': the name must lead below the folder of
include "/etc/passwd"
