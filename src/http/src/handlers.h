#pragma once

#include "request.h"

namespace vmm::http {

Task<Reply> create_vm(Service& service, Request& request);
Task<Reply> list_vms(Service& service, Request& request);
Task<Reply> show_vm(Service& service, Request& request);
Task<Reply> update_vm(Service& service, Request& request);
Task<Reply> delete_vm(Service& service, Request& request);
Task<Reply> start_vm(Service& service, Request& request);
Task<Reply> stop_vm(Service& service, Request& request);
Task<Reply> restart_vm(Service& service, Request& request);
Task<Reply> pause_vm(Service& service, Request& request);
Task<Reply> resume_vm(Service& service, Request& request);
Task<Reply> boot_complete(Service& service, Request& request);

Task<Reply> open_console(Service& service, Request& request);
Task<Reply> clone_vm(Service& service, Request& request);
Task<Reply> publish_vm(Service& service, Request& request);
Task<Reply> list_events(Service& service, Request& request);

Task<Reply> list_disks(Service& service, Request& request);
Task<Reply> add_disk(Service& service, Request& request);
Task<Reply> update_disk(Service& service, Request& request);
Task<Reply> remove_disk(Service& service, Request& request);
Task<Reply> remove_device(Service& service, Request& request);
Task<Reply> list_volumes(Service& service, Request& request);
Task<Reply> delete_volume(Service& service, Request& request);

Task<Reply> explain_vm(Service& service, Request& request);
Task<Reply> show_guest(Service& service, Request& request);
Task<Reply> exec_vm(Service& service, Request& request);
Task<Reply> push_file(Service& service, Request& request);
Task<Reply> pull_file(Service& service, Request& request);
Task<Reply> add_ssh_keys(Service& service, Request& request);

Task<Reply> list_networks(Service& service, Request& request);
Task<Reply> show_network(Service& service, Request& request);
Task<Reply> create_network(Service& service, Request& request);
Task<Reply> delete_network(Service& service, Request& request);
Task<Reply> list_interfaces(Service& service, Request& request);
Task<Reply> add_interface(Service& service, Request& request);
Task<Reply> update_interface(Service& service, Request& request);
Task<Reply> remove_interface(Service& service, Request& request);
Task<Reply> show_firewall(Service& service, Request& request);
Task<Reply> put_firewall(Service& service, Request& request);
Task<Reply> list_ports(Service& service, Request& request);
Task<Reply> publish_port(Service& service, Request& request);
Task<Reply> unpublish_port(Service& service, Request& request);

Task<Reply> list_images(Service& service, Request& request);
Task<Reply> show_image(Service& service, Request& request);
Task<Reply> bring_image(Service& service, Request& request);
Task<Reply> delete_image(Service& service, Request& request);
Task<Reply> download_image(Service& service, Request& request);

Task<Reply> list_operations(Service& service, Request& request);
Task<Reply> show_operation(Service& service, Request& request);

Task<Reply> show_account(Service& service, Request& request);
Task<Reply> put_account(Service& service, Request& request);
Task<Reply> delete_account(Service& service, Request& request);

Task<Reply> list_collaborators(Service& service, Request& request);
Task<Reply> put_collaborator(Service& service, Request& request);
Task<Reply> delete_collaborator(Service& service, Request& request);
Task<Reply> transfer_vm(Service& service, Request& request);
Task<Reply> accept_transfer(Service& service, Request& request);
Task<Reply> withdraw_transfer(Service& service, Request& request);
Task<Reply> list_transfers(Service& service, Request& request);

Task<Reply> list_teams(Service& service, Request& request);
Task<Reply> create_team(Service& service, Request& request);
Task<Reply> show_team(Service& service, Request& request);
Task<Reply> update_team(Service& service, Request& request);
Task<Reply> delete_team(Service& service, Request& request);
Task<Reply> list_members(Service& service, Request& request);
Task<Reply> put_member(Service& service, Request& request);
Task<Reply> delete_member(Service& service, Request& request);

Task<Reply> show_nonce(Service& service, Request& request);
Task<Reply> login(Service& service, Request& request);
Task<Reply> logout(Service& service, Request& request);
Task<Reply> show_whoami(Service& service, Request& request);
Task<Reply> list_sessions(Service& service, Request& request);
Task<Reply> end_session(Service& service, Request& request);
Task<Reply> revoke_capability(Service& service, Request& request);
Task<Reply> list_revocations(Service& service, Request& request);

Task<Reply> list_audit(Service& service, Request& request);
Task<Reply> show_audit_head(Service& service, Request& request);
Task<Reply> export_audit(Service& service, Request& request);

Task<Reply> show_health(Service& service, Request& request);
Task<Reply> show_openapi(Service& service, Request& request);

}  // namespace vmm::http
