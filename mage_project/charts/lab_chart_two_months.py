# This month (first line) against the one before, by day of the month.
x = df_1["day_of_month"]
y = [df_1["this_month"], df_1["month_before"]]
