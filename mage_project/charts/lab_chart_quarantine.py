# Quarantined rows by rule: all of the month, as lab_quarantine counts it.
x = df_1["rule"].astype(str)
y = df_1["rows"]
