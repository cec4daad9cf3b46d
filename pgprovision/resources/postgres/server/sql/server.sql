-- One line of JSON about the instance. Runs on a standby too, on PostgreSQL 13 to 18.
-- to_jsonb(row) keeps columns that only some versions have.
set client_encoding = 'UTF8';
set search_path = pg_catalog;
set jit = off;
with grantee as (select oid, rolname::text as name from pg_authid union all select 0, 'public'),
line as materialized (
    select f.seqno, f.sourcefile, f.sourceline, f.name, f.setting, f.error, case
            when f.error = 'setting could not be applied' and s.context = 'postmaster' then f.name
            else substring(f.error from
                '^parameter "(.*)" cannot be changed without restarting the server$')
        end as waits_for_restart
    from pg_file_settings f left join pg_settings s on lower(s.name) = lower(f.name)),
member as (
    select m.member, jsonb_agg(distinct g.rolname) as of
    from pg_auth_members m join pg_authid g on g.oid = m.roleid
    group by m.member),
owner as (
    select refobjid as oid, count(*) as number from pg_shdepend
    where refclassid = 'pg_authid'::regclass and deptype = 'o' group by 1),
session as (
    select usesysid as oid, count(*) as number from pg_stat_activity group by 1),
role as (
    select jsonb_object_agg(r.rolname, jsonb_build_object(
        'superuser', rolsuper, 'inherit', rolinherit, 'createrole', rolcreaterole,
        'createdb', rolcreatedb, 'login', rolcanlogin, 'replication', rolreplication,
        'bypassrls', rolbypassrls, 'connection_limit', rolconnlimit, 'verifier', rolpassword,
        'valid_until', case when isfinite(rolvaliduntil) then
            to_char(rolvaliduntil at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') end,
        'owns', coalesce(owner.number, 0), 'sessions', coalesce(session.number, 0),
        'member_of', coalesce(m.of, '[]'), 'comment', d.description)) as all
    from pg_authid r
    left join member m on m.member = r.oid
    left join owner on owner.oid = r.oid
    left join session on session.oid = r.oid
    left join pg_shdescription d on d.objoid = r.oid and d.classoid = 'pg_authid'::regclass
    where r.rolname !~ '^pg_'),
database as (
    select jsonb_object_agg(b.datname, jsonb_build_object(
        'owner', r.rolname, 'encoding', pg_encoding_to_char(b.encoding),
        'provider', coalesce(to_jsonb(b)->>'datlocprovider', 'c'), 'collate', b.datcollate, 'ctype', b.datctype, 'allow', b.datallowconn,
        'connection_limit', b.datconnlimit, 'comment', d.description,
        'acl', (select coalesce(jsonb_agg(distinct jsonb_build_array(g.name, a.privilege_type)), '[]')
            from aclexplode(coalesce(b.datacl, acldefault('d', b.datdba))) a
            join grantee g on g.oid = a.grantee))) as all
    from pg_database b join pg_authid r on r.oid = b.datdba
    left join pg_shdescription d on d.objoid = b.oid and d.classoid = 'pg_database'::regclass),
setting as (
    select jsonb_object_agg(name, context) as contexts,
        jsonb_object_agg(name, jsonb_build_object('type', vartype, 'unit', unit,
            'value', case source when 'session' then reset_val else setting end,
            'source', source, 'file', sourcefile)) filter (where source <> 'default') as changed
    from pg_settings),
pending as (
    select coalesce(jsonb_object_agg(p.name, jsonb_build_object(
        'value', l.setting, 'file', l.sourcefile)), '{}') as all
    from (select name from pg_settings where pending_restart
          union select waits_for_restart from line where waits_for_restart is not null) p
    left join (select distinct on (name) name, setting, sourcefile from line
          order by name, seqno desc) l using (name))
select jsonb_build_object(
    'version', current_setting('server_version_num')::int / 10000,
    'minor', current_setting('server_version'),
    'in_recovery', pg_is_in_recovery(),
    'system_identifier', (pg_control_system()).system_identifier::text,
    'timeline', case when pg_is_in_recovery()
        then coalesce((select received_tli from pg_stat_wal_receiver),
                      (pg_control_checkpoint()).timeline_id)
        else ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int end,
    'loaded', extract(epoch from pg_conf_load_time()),
    'lsn', jsonb_build_object(
        'current', case when not pg_is_in_recovery() then pg_current_wal_lsn() end,
        'received', pg_last_wal_receive_lsn(), 'replayed', pg_last_wal_replay_lsn(),
        'replayed_at', pg_last_xact_replay_timestamp(),
        'written_at', case when not pg_is_in_recovery()
            then (select date_trunc('second', max(modification)) from pg_ls_waldir()) end),
    'contexts', setting.contexts,
    'settings', setting.changed,
    'pending_restart', pending.all,
    'auto_conf', (select coalesce(jsonb_agg(distinct name), '[]') from line
        where sourcefile ~ '/postgresql\.auto\.conf$' and name is not null),
    'file_errors', (select coalesce(jsonb_agg(format('%s:%s: %s%s',
            sourcefile, sourceline, name || ': ', error)), '[]') from line
        where error <> '' and waits_for_restart is null),
    'hba_errors', (select coalesce(jsonb_agg(format('pg_hba.conf:%s: %s', line_number, error)
            order by line_number), '[]')
        from pg_hba_file_rules where error is not null),
    'overrides', (select coalesce(jsonb_agg(jsonb_build_array(r.rolname, b.datname, o.setting)
            order by r.rolname, b.datname, o.setting), '[]')
        from pg_db_role_setting s cross join unnest(s.setconfig) as o(setting)
        left join pg_authid r on r.oid = s.setrole
        left join pg_database b on b.oid = s.setdatabase),
    'roles', role.all,
    'databases', database.all,
    'slots', (select coalesce(jsonb_object_agg(slot_name, to_jsonb(s)), '{}')
        from pg_replication_slots s),
    'replication', (select coalesce(jsonb_agg(to_jsonb(r) || jsonb_build_object('ssl', l.ssl)), '[]')
        from pg_stat_replication r left join pg_stat_ssl l using (pid)),
    'receiver', (select to_jsonb(w) from pg_stat_wal_receiver w),
    'archiver', (select to_jsonb(a) from pg_stat_archiver a)
        || (select jsonb_build_object('waiting', count(*), 'oldest', min(left(name, 24)),
                'oldest_seconds', extract(epoch from clock_timestamp() - min(modification))::int)
            from pg_ls_archive_statusdir() where name ~ '^[0-9A-F]{24}\.ready$')
        || (select jsonb_build_object('segment_bytes', pg_size_bytes(current_setting('wal_segment_size')),
                'written_last_hour', count(*) filter (
                    where modification > clock_timestamp() - interval '1 hour'))
            from pg_ls_waldir() where name ~ '^[0-9A-F]{24}$'))
from role, database, setting, pending;
