//! What a token may do in this panel, declared once: the marker types go into the handlers of `api`.

keyfob::abilities! {
    pub(crate) enum PanelAbility {
        ServersRead = "servers:read", "List and show servers";
        ServersCreate = "servers:create", "Create servers";
        ServersUpdate = "servers:update", "Change servers";
        ServersDelete = "servers:delete", "Delete servers and all that is on them";
        SitesRead = "sites:read", "List the sites of a server";
        SitesCreate = "sites:create", "Create sites";
        DatabasesRead = "databases:read", "List the databases of a server";
        SshKeysRead = "ssh-keys:read", "List the SSH keys of a server";
        SshKeysCreate = "ssh-keys:create", "Add SSH keys";
        CronsRead = "crons:read", "List the cron jobs of a server";
        CronsCreate = "crons:create", "Create cron jobs";
        BackupsRead = "backups:read", "List the backups of a site";
        BackupsCreate = "backups:create", "Back a site up";
    }
}
