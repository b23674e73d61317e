# Trips per day: all of the month, as lab_days counts it.
x = df_1["day"].astype(str).str[-2:]
y = df_1["trips"]
