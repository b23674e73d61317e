# Trips by fare, in dollars: all of the month, as lab_fares counts it.
x = df_1["fare"].astype(str)
y = df_1["trips"]
