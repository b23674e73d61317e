-- Databases and roles of the stack, created with the server's volume; passwords come from the environment.
-- The trips have a role without other rights; Mage and Airflow have separate databases and roles for their state.
\getenv taxi_role TAXI_ROLE
\getenv taxi_password TAXI_PASSWORD
\getenv mage_password MAGE_PASSWORD
\getenv airflow_password AIRFLOW_PASSWORD
\getenv taxi_database POSTGRES_DB

CREATE ROLE :"taxi_role" LOGIN PASSWORD :'taxi_password';
CREATE ROLE mage LOGIN PASSWORD :'mage_password';
CREATE ROLE airflow LOGIN PASSWORD :'airflow_password';

CREATE DATABASE mage OWNER mage;
CREATE DATABASE airflow OWNER airflow;
ALTER DATABASE :"taxi_database" OWNER TO :"taxi_role";

REVOKE CONNECT ON DATABASE :"taxi_database", mage, airflow FROM PUBLIC;
