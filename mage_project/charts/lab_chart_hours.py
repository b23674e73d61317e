# Trips per hour of the day: all of the month, as lab_hours counts it.
x = df_1["hour"].astype(str)
y = df_1["trips"]
