-- One line of JSON about the database psql is connected to.
set client_encoding = 'UTF8';
set search_path = pg_catalog;
set jit = off;
with space as (
    select * from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'),
-- What GRANT ... ON ALL TABLES (SEQUENCES, FUNCTIONS) IN SCHEMA reaches; no ACL is the default.
object as (
    select n.nspname, 'tables' as kind, c.oid, coalesce(relacl, acldefault('r', relowner)) as acl
    from pg_class c join space n on n.oid = relnamespace
    where relkind in ('r', 'p', 'v', 'm', 'f')
    union all
    select n.nspname, 'sequences', c.oid, coalesce(relacl, acldefault('s', relowner))
    from pg_class c join space n on n.oid = relnamespace where relkind = 'S'
    union all
    select n.nspname, 'functions', p.oid, coalesce(proacl, acldefault('f', proowner))
    from pg_proc p join space n on n.oid = pronamespace where prokind <> 'p'),
total as (
    select nspname, kind, count(*) as number from object group by 1, 2),
privilege_counts as (
    select nspname, kind, a.grantee, a.privilege_type, count(distinct o.oid) as number
    from object o cross join aclexplode(o.acl) a
    group by 1, 2, 3, 4)
select jsonb_build_object(
    'database', current_database(),
    'extensions', (select coalesce(jsonb_object_agg(e.extname, jsonb_build_object(
            'schema', n.nspname, 'version', e.extversion)), '{}')
        from pg_extension e join pg_namespace n on n.oid = e.extnamespace),
    'schemas', (select coalesce(jsonb_object_agg(n.nspname, jsonb_build_object(
            'owner', pg_get_userbyid(n.nspowner),
            'acl', (select coalesce(jsonb_agg(distinct jsonb_build_array(
                    case a.grantee when 0 then 'public' else pg_get_userbyid(a.grantee) end,
                    a.privilege_type)), '[]')
                from aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a))), '{}')
        from space n),
    -- Beside the database's own. What initdb pins (C, POSIX) is not in pg_depend.
    'collations', (select coalesce(jsonb_agg(distinct jsonb_build_array(
            c.collprovider, c.collname)), '[]')
        from pg_depend d join pg_collation c on c.oid = d.refobjid
        where d.refclassid = 'pg_collation'::regclass),
    'totals', (select coalesce(jsonb_agg(jsonb_build_array(nspname, kind, number)), '[]')
        from total),
    'privilege_counts', (select coalesce(jsonb_agg(jsonb_build_array(
            nspname, kind, case grantee when 0 then 'public' else pg_get_userbyid(grantee) end,
            privilege_type, number)), '[]')
        from privilege_counts),
    'defaults', (select coalesce(jsonb_agg(distinct jsonb_build_array(
            pg_get_userbyid(d.defaclrole), n.nspname, d.defaclobjtype,
            case a.grantee when 0 then 'public' else pg_get_userbyid(a.grantee) end,
            a.privilege_type)), '[]')
        from pg_default_acl d left join pg_namespace n on n.oid = d.defaclnamespace
        cross join aclexplode(d.defaclacl) a),
    'global_defaults', (select coalesce(jsonb_agg(jsonb_build_array(
            pg_get_userbyid(defaclrole), defaclobjtype)), '[]')
        from pg_default_acl where defaclnamespace = 0));
