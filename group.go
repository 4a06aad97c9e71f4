package abt2

// GroupName names a group of modules within a product, by the rule of module
// names. Groups and modules share their names: one word never means both.
type GroupName string

// Validate reports a name that a person must change, and how.
func (n GroupName) Validate() error { return validateName("group name", string(n)) }

// Group is several modules of a product under one name, in alphabetical order.
type Group struct {
	Product ProductName  `json:"product"`
	Name    GroupName    `json:"name"`
	Modules []ModuleName `json:"modules"`
}

// GroupChange is what is to become of a group.
type GroupChange string

// The changes of a group.
const (
	GroupCreate GroupChange = "create"
	GroupAdd    GroupChange = "add"
	GroupRemove GroupChange = "remove"
	GroupDelete GroupChange = "delete"
)

// GroupRequest changes a group.
type GroupRequest struct {
	By
	Product ProductName
	Group   GroupName
	Change  GroupChange
	Modules []ModuleName // of create, add and remove
	DryRun  bool
}
