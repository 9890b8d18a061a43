(alter-opts! {:verify {:signature "yes"}})
