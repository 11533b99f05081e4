# SPDX-License-Identifier: Apache-2.0
from glob import glob

from setuptools import find_packages, setup

package_name = 'lwd_actor'

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(exclude=['test']),
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/' + package_name]),
        ('share/' + package_name, ['package.xml']),
        ('share/' + package_name + '/pads', glob('../../config/pads/*.yaml')),
    ],
    install_requires=['setuptools'],
    zip_safe=True,
    maintainer='LWD maintainers',
    maintainer_email='maintainers@lwd-g1.org',
    description='On the robot: teleoperation, arbitration, inference, episodes.',
    license='Apache-2.0',
    extras_require={'test': ['pytest']},
    entry_points={'console_scripts': [
        'arbiter = lwd_actor.arbiter_node:main',
        'markers = lwd_actor.markers_node:main',
        'policy = lwd_actor.policy_node:main',
        'receiver = lwd_actor.receiver_node:main',
        'recorder = lwd_actor.recorder_node:main',
        'sim_operator = lwd_actor.operator_node:main',
        'teleop = lwd_actor.teleop_node:main',
    ]},
)
