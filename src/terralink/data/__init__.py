"""From folders of images to chips. Only ``augment`` needs torch.

chips        a chip, pictures with masks                prepare      ground size, checks, memory
masks        class indices of files and shapes          windows      scenes as chips
splits       training and validation                    chip_folder  scenes written as chips
sources      the entries of a recipe: sets and folders  augment      samples that differ each time
schema       strict models and the types of values
"""
